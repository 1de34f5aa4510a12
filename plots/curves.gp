# curves.gp: axes and key of charts over epochs, shared by loss.gp and accuracy.gp.
# Given: runs, labels[], first_epoch, last_epoch; $runs holds a block a run: epoch loss train held-out rate.
span = last_epoch - first_epoch
epoch_room = span > 0 ? 0.02 * span : 0.5
set xrange [first_epoch - epoch_room : last_epoch + epoch_room]
epoch_step = span <= 16 ? 1 : span <= 32 ? 2 : span <= 80 ? 5 : span <= 160 ? 10 : span <= 320 ? 20 : 10 ** ceil(log10(span / 16.0))
set xtics epoch_step
set lmargin at screen 108.0 / width
set rmargin at screen 1.0 - 30.0 / width
spacing = span > 40 ? int(span / 20) : 1 # epochs from mark to mark
