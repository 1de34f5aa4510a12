# histogram.gp: the values of one activation, and where codes end. $bars: left width percent-of-values.
# Given: value_min, value_max, has_clip, clip_low, clip_high, clipped, least_share.
width = 1000
height = 600
axis_title = 'share of values (%), logarithmic'
if (!exists("title")) title = 'Values of an activation'
load plots.'/style.gp'
set lmargin at screen 130.0 / width
set rmargin at screen 1.0 - 40.0 / width
set bmargin at screen 124.0 / height
lowest = value_min < clip_low ? value_min : clip_low
highest = value_max > clip_high ? value_max : clip_high
# Always one value: a picture as wide as the value is large, or of -1 to 1 around 0.
room = highest > lowest ? 0.03 * (highest - lowest) : lowest == 0 ? 1 : 0.5 * abs(lowest)
set xrange [lowest - room:highest + room]
step = tic_step(highest - lowest + 2 * room)
set xtics step
set format x tic_format(step, abs(highest) > abs(lowest) ? abs(highest) : abs(lowest))
set xlabel 'value'
set logscale y
set yrange [0.5 * least_share:200]
set format y '%g'
set key at screen 0.5, screen 34.0 / height center center horizontal maxcols 1 samplen 3 textcolor rgb ink
clip_title = sprintf('codes reach from %.4g to %.4g (%.3g %% of values beyond)', clip_low, clip_high, clipped)
seen_title = sprintf('smallest %.4g, largest %.4g', value_min, value_max)
if (has_clip) {
    set arrow 1 from clip_low, graph 0 to clip_low, graph 1 nohead linecolor rgb colour(2) linewidth 2.5 dashtype '-' front
    set arrow 2 from clip_high, graph 0 to clip_high, graph 1 nohead linecolor rgb colour(2) linewidth 2.5 dashtype '-' front
}
set arrow 3 from value_min, graph 0 to value_min, graph 0.06 nohead linecolor rgb ink linewidth 2.5 front
set arrow 4 from value_max, graph 0 to value_max, graph 0.06 nohead linecolor rgb ink linewidth 2.5 front
# A bar that is narrower than a few pixels is drawn as wide, or it would not be seen.
least_bar = 5.0 / (width - 170) * (highest - lowest + 2 * room)
plot $bars using ($1 + 0.5 * $2):3:($2 > least_bar ? $2 : least_bar) with boxes linecolor rgb colour(1) notitle, \
    NaN with lines linecolor rgb ink linewidth 2.5 title seen_title, \
    NaN with lines linecolor rgb (has_clip ? colour(2) : '#ffffff') linewidth 2.5 dashtype '-' title (has_clip ? clip_title : '')
