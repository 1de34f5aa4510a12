# compare-time.gp: time for one image: median, with a whisker up to the 95th percentile. $bars: place median p95.
axis_title = 'ms (median; whisker: 95th percentile)'
if (!exists("title")) title = 'Time for one image'
head = 9 + first_model_em
lines = 2
lowest_y = 0
highest_y = 1.02 * highest
load plots.'/bars.gp'
is_plain(r) = r >= 0.01 && r < 1000
speed(v) = sprintf(is_plain(first_value / v) ? '%.2f x as fast as %s' : '%.1e x as fast as %s', first_value / v, first_model)
top(median, high) = high > median ? high : median
if (is_many) {
    plot for [i=1:model_count] $bars every ::i-1::i-1 using 1:2:(bar) with boxes linecolor rgb colour(i), \
        $bars using 1:2:(0):(top($2, $3) - $2) with vectors head size graph 0.008,90 linewidth 2 linecolor rgb ink, \
        $bars using 1:(top($2, $3)):(amount($2)) with labels rotate by 90 left offset graph 0, graph up(8) font upright_font textcolor rgb ink
} else {
    plot for [i=1:model_count] $bars every ::i-1::i-1 using 1:2:(bar) with boxes linecolor rgb colour(i), \
        $bars using 1:2:(0):(top($2, $3) - $2) with vectors head size graph 0.008,90 linewidth 2 linecolor rgb ink, \
        $bars every ::0::0 using 1:(top($2, $3)):(amount($2)) with labels offset graph 0, graph up(20) font amount_font textcolor rgb ink, \
        $bars every ::1 using 1:(top($2, $3)):(amount($2)) with labels offset graph 0, graph up(first_value > 0 ? 40 : 20) font amount_font textcolor rgb ink, \
        $bars every ::1 using ($2 > 0 && first_value > 0 ? $1 : NaN):(top($2, $3)):(speed($2)) with labels \
            offset graph 0, graph up(16) font more_font textcolor rgb quiet
}
