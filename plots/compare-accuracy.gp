# compare-accuracy.gp: accuracy of the models with 95 % intervals. $bars: place accuracy low high.
width = 700 + 130 * (model_count > 3 ? model_count - 3 : 0)
width = width < 7.8 * strlen(subtitle) + 50 ? int(7.8 * strlen(subtitle)) + 50 : width
height = 560
is_cut = axis_start > 0
axis_title = is_cut ? sprintf('accuracy (%%), axis cut: starts at %g', axis_start) : 'accuracy (%)'
if (!exists("title")) title = 'Accuracy on the test images'
load plots.'/style.gp'
load plots.'/bars.gp'
upper = highest + 0.28 * (highest - axis_start)
set yrange [axis_start:upper]
if (is_cut) {
    # Two strokes across the axis say the same to the eye.
    set arrow 1 from screen 116.0 / width, graph 0.028 to screen 132.0 / width, graph 0.052 nohead linecolor rgb ink linewidth 1.5 front
    set arrow 2 from screen 116.0 / width, graph 0.048 to screen 132.0 / width, graph 0.072 nohead linecolor rgb ink linewidth 1.5 front
}
amount(v) = sprintf('%.2f %%', v)
interval(l, h) = sprintf('%.2f to %.2f', l, h)
line = 0.055 * (upper - axis_start)
plot for [i=1:model_count] $bars every ::i-1::i-1 using 1:2:(bar) with boxes linecolor rgb colour(i), \
    $bars using 1:3:(0):($4 - $3) with vectors heads size graph 0.008,90 linewidth 2 linecolor rgb ink, \
    $bars using 1:($4 + 1.9 * line):(amount($2)) with labels font bold(14) textcolor rgb ink, \
    $bars using 1:($4 + 0.8 * line):(interval($3, $4)) with labels font plain(10) textcolor rgb quiet
