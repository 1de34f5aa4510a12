# accuracy.gp: accuracy over epochs: on what was trained on (dashed, open marks) and held out (solid, filled marks).
# Given besides what curves.gp says: lowest, highest, has_train, has_held_out.
axis_title = 'accuracy (%)'
if (!exists("title")) title = 'Accuracy while training'
parts = has_train + has_held_out
key_entry = labels_em + 5
key_count = runs * parts
key_group = parts
load plots.'/curves.gp'
height = 540 + ceil(foot_pixels)
load plots.'/style.gp'
side = 108.0
# Entries of a run follow each other: held out, then training.
key_run(i) = int((i - 1) / parts) + 1
key_part(i) = parts == 1 ? has_train : (i - 1) % 2
key_text(i) = labels[key_run(i)].(key_part(i) ? ', training' : ', held out')
key_colour(i) = colour(key_run(i))
key_dash(i) = key_part(i) ? 2 : 1
key_mark(i) = key_part(i) ? open_mark(key_run(i)) : mark(key_run(i))
key_bold(i) = !key_part(i)
load plots.'/epochs.gp'

set bmargin at screen foot_pixels / height
set xlabel 'epoch'
room = highest - lowest > 1 ? 0.05 * (highest - lowest) : 0.5
lowest_y = lowest - room > 0 ? lowest - room : 0
highest_y = highest + room < 100 ? highest + room : 100
set yrange [lowest_y:highest_y]
set ytics tic_step(highest_y - lowest_y)
set format y tic_format(tic_step(highest_y - lowest_y), 100)
plot for [i=1:runs] for [part=0:1] $runs index i-1 using 1:((part ? has_train : has_held_out) ? column(4 - part) : NaN) \
    with linespoints linecolor rgb colour(i) linewidth (part ? 1.5 : 2.5) dashtype dash(part ? 2 : 1) \
    pointtype (part ? open_mark(i) : mark(i)) pointsize (part ? 1.0 : 1.1) pointinterval spacing
