# loss.gp: training loss over epochs, one curve a run; below it the learning rate on a logarithmic axis.
# Given besides what curves.gp says: lowest, highest (loss), has_rate, lowest_rate, highest_rate.
axis_title = 'mean cross-entropy'
if (!exists("title")) title = 'Training loss'
key_entry = labels_em
key_count = runs
key_group = 1
load plots.'/curves.gp'
height = (has_rate ? 660 : 500) + ceil(foot_pixels)
load plots.'/style.gp'
lowest_y = lowest < 0 ? lowest : 0
highest_y = highest > lowest_y ? highest : lowest_y + 1
step_y = tic_step(highest_y - lowest_y)
format_y = tic_format(step_y, highest_y)
side = axis_room(format_y, lowest < 0 ? lowest : highest_y)
key_text(i) = labels[i]
key_colour(i) = colour(i)
key_dash(i) = dash(i)
key_mark(i) = mark(i)
key_bold(i) = 1
load plots.'/epochs.gp'

foot = foot_pixels / height
middle = has_rate ? foot + 200.0 / height : foot
set multiplot
set bmargin at screen middle
set yrange [lowest_y:highest_y + 0.03 * (highest_y - lowest_y)]
set ytics step_y
set format y format_y
if (has_rate) { set format x '' } else { set xlabel 'epoch' }
plot for [i=1:runs] $runs index i-1 using 1:2 with linespoints linecolor rgb colour(i) linewidth 2.5 \
    dashtype dash(i) pointtype mark(i) pointsize 1.1 pointinterval spacing

if (has_rate) {
    unset label
    unset arrow
    set tmargin at screen middle - 24.0 / height
    set bmargin at screen foot
    set format x '%.0f'
    set xlabel 'epoch'
    set label 1 'learning rate' at screen 24.0 / width, graph 0.5 center rotate by 90 front textcolor rgb ink
    set logscale y
    set ytics autofreq
    set mytics 1
    set format y '%.0e'
    # Schedules end near zero: five decades show what matters, a curve that goes on below leaves by the axis. Whole decades, so
    # that there are numbers at the axis whatever the rates are.
    least_decade = lowest_rate < 1e-5 * highest_rate ? ceil(log10(1e-5 * highest_rate)) : floor(log10(lowest_rate) + 1e-9)
    last_decade = ceil(log10(highest_rate) - 1e-9)
    last_decade = last_decade > least_decade ? last_decade : least_decade + 1
    set yrange [0.7 * 10 ** least_decade:1.4 * 10 ** last_decade]
    plot for [i=1:runs] $runs index i-1 using 1:($5 > 0 ? $5 : NaN) with linespoints linecolor rgb colour(i) \
        linewidth 2 dashtype dash(i) pointtype mark(i) pointsize 0.8 pointinterval spacing
}
unset multiplot
