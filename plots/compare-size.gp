# compare-size.gp: size of the model files. $bars: place bytes.
axis_title = 'file size ('.unit_name.')'
if (!exists("title")) title = 'Size of the model files'
head = 5 + first_model_em
lines = 2
lowest_y = 0
highest_y = 1.02 * highest / unit
load plots.'/bars.gp'
ratio(v) = sprintf(v / first_value < 1000 ? '%.3f of %s' : '%.2e of %s', v / first_value, first_model)
if (is_many) {
    plot for [i=1:model_count] $bars every ::i-1::i-1 using 1:($2 / unit):(bar) with boxes linecolor rgb colour(i), \
        $bars using 1:($2 / unit):(amount($2)) with labels rotate by 90 left offset graph 0, graph up(8) font upright_font textcolor rgb ink
} else {
    plot for [i=1:model_count] $bars every ::i-1::i-1 using 1:($2 / unit):(bar) with boxes linecolor rgb colour(i), \
        $bars every ::0::0 using 1:($2 / unit):(amount($2)) with labels offset graph 0, graph up(20) font amount_font textcolor rgb ink, \
        $bars every ::1 using 1:($2 / unit):(amount($2)) with labels offset graph 0, graph up(first_value > 0 ? 40 : 20) font amount_font textcolor rgb ink, \
        $bars every ::1 using (first_value > 0 ? $1 : NaN):($2 / unit):(ratio($2)) with labels offset graph 0, graph up(16) \
            font more_font textcolor rgb quiet
}
