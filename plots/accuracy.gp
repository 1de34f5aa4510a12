# accuracy.gp: accuracy over epochs: on what was trained on (dashed, open marks) and held out (solid, filled marks).
width = 1000
height = 640
axis_title = 'accuracy (%)'
if (!exists("title")) title = 'Accuracy while training'
load plots.'/style.gp'
load plots.'/curves.gp'

rows = has_train && has_held_out ? runs : ceil(runs / 2.0)
set bmargin at screen (76.0 + 24.0 * rows) / height
set xlabel 'epoch'
set yrange [*:*<100]
set key at screen 0.5, screen (12.0 + 12.0 * rows) / height center center horizontal maxcols 2 samplen 4 textcolor rgb ink
held_title(i) = labels[i].', held out'
train_title(i) = labels[i].', training'
plot for [i=1:runs] for [part=0:1] $runs index i-1 using 1:((part ? has_train : has_held_out) ? column(4 - part) : NaN) \
    with linespoints linecolor rgb colour(i) linewidth (part ? 1.5 : 2.5) dashtype dash(part ? 2 : 1) \
    pointtype (part ? open_mark(i) : mark(i)) pointsize (part ? 1.0 : 1.1) pointinterval spacing \
    title (part ? (has_train ? train_title(i) : '') : has_held_out ? held_title(i) : '')
