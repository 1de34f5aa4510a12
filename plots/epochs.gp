# epochs.gp: the axis of epochs, and the key below it; after style.gp. Given besides: side, pixels left of the axes.
span = last_epoch - first_epoch
epoch_room = span > 0 ? 0.02 * span : 0.5
set xrange [first_epoch - epoch_room : last_epoch + epoch_room]
epoch_step = span <= 16 ? 1 : span <= 32 ? 2 : span <= 80 ? 5 : span <= 160 ? 10 : span <= 320 ? 20 : tic_step(span)
set xtics epoch_step
set format x '%.0f'
set lmargin at screen (side > 108 ? side : 108.0) / width
set rmargin at screen 1.0 - 44.0 / width
spacing = span > 40 ? int(span / 20) : 1 # epochs from mark to mark
load plots.'/key.gp'
