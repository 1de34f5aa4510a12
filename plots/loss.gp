# loss.gp: training loss over epochs, one curve a run; below it the learning rate on a logarithmic axis.
# Given besides what curves.gp says: has_rate, lowest_rate, highest_rate.
width = 1000
height = has_rate ? 760 : 600
axis_title = 'mean cross-entropy'
if (!exists("title")) title = 'Training loss'
load plots.'/style.gp'
load plots.'/curves.gp'

foot = (76.0 + 24.0 * ceil(runs / 4.0)) / height
middle = has_rate ? foot + 200.0 / height : foot
set multiplot
set bmargin at screen middle
set yrange [0:*]
if (has_rate) { set format x '' } else { set xlabel 'epoch' }
set key at screen 0.5, screen (12.0 + 12.0 * ceil(runs / 4.0)) / height center center horizontal maxcols 4 samplen 3 \
    textcolor rgb ink
plot for [i=1:runs] $runs index i-1 using 1:2 with linespoints linecolor rgb colour(i) linewidth 2.5 \
    dashtype dash(i) pointtype mark(i) pointsize 1.1 pointinterval spacing title labels[i]

if (has_rate) {
    unset key
    unset label
    set tmargin at screen middle - 24.0 / height
    set bmargin at screen foot
    set format x '%g'
    set xlabel 'epoch'
    set label 1 'learning rate' at screen 24.0 / width, graph 0.5 center rotate by 90 front textcolor rgb ink
    set logscale y
    set mytics 1
    set format y '%.0e'
    # Schedules end near zero: five decades show what matters, a curve that goes on below leaves by the axis.
    set yrange [(lowest_rate < 1e-5 * highest_rate ? 1e-5 * highest_rate : 0.7 * lowest_rate):1.4 * highest_rate]
    plot for [i=1:runs] $runs index i-1 using 1:($5 > 0 ? $5 : NaN) with linespoints linecolor rgb colour(i) \
        linewidth 2 dashtype dash(i) pointtype mark(i) pointsize 0.8 pointinterval spacing
}
unset multiplot
