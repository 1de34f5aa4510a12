# compare-accuracy.gp: accuracy of the models with 95 % intervals. $bars: place accuracy low high.
is_cut = axis_start > 0
axis_title = is_cut ? sprintf('accuracy (%%), axis cut: starts at %g', axis_start) : 'accuracy (%)'
if (!exists("title")) title = 'Accuracy on the test images'
decimals = 2
unit = 1
unit_name = '%'
head = 8
lines = 2
lowest_y = axis_start
highest_y = highest + 0.05 * (highest - axis_start)
highest_y = highest_y > 100 ? 100 : highest_y
load plots.'/bars.gp'
if (is_cut) {
    # Two strokes across the axis say the same to the eye.
    set arrow 1 from screen (side - 8) / width, graph 0.028 to screen (side + 8) / width, graph 0.052 nohead linecolor rgb ink linewidth 1.5 front
    set arrow 2 from screen (side - 8) / width, graph 0.048 to screen (side + 8) / width, graph 0.072 nohead linecolor rgb ink linewidth 1.5 front
}
interval(l, h) = sprintf('%.2f to %.2f', l, h)
if (is_many) {
    plot for [i=1:model_count] $bars every ::i-1::i-1 using 1:2:(bar) with boxes linecolor rgb colour(i), \
        $bars using 1:3:(0):($4 - $3) with vectors heads size graph 0.008,90 linewidth 2 linecolor rgb ink, \
        $bars using 1:4:(amount($2)) with labels rotate by 90 left offset graph 0, graph up(8) font upright_font textcolor rgb ink
} else {
    plot for [i=1:model_count] $bars every ::i-1::i-1 using 1:2:(bar) with boxes linecolor rgb colour(i), \
        $bars using 1:3:(0):($4 - $3) with vectors heads size graph 0.008,90 linewidth 2 linecolor rgb ink, \
        $bars using 1:4:(amount($2)) with labels offset graph 0, graph up(40) font amount_font textcolor rgb ink, \
        $bars using 1:4:(interval($3, $4)) with labels offset graph 0, graph up(16) font more_font textcolor rgb quiet
}
