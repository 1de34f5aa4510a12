# sensitivity.gp: what few bits of one layer cost, layers from top to bottom. Given: layers, names[], names_em, title, series_count,
# labels[], series_bits[], series_weights[], least, most; $points: divergence, layer, series.
width = 1000
rows = ceil(series_count / 2.0)
height = 202 + 24 * layers + 24 * rows
load plots.'/style.gp'
set lmargin at screen (48.0 + pixels(13, names_em)) / width
set rmargin at screen 1.0 - 40.0 / width
set bmargin at screen (88.0 + 24.0 * rows) / height
set key spacing 1.3 at screen 0.5, screen (12.0 + 12.0 * rows) / height center center vertical maxrows rows samplen 2 textcolor rgb ink
set logscale x
set xtics format '%.0e'
set xrange [least / 1.5:most * 1.5]
set xlabel 'KL divergence from the float network, mean over images'
set yrange [layers + 0.7:0.3]
set ytics ()
do for [i=1:layers] { set ytics add (names[i] i) }
set grid ytics xtics linetype 1 linecolor rgb faint linewidth 1
# Weights stand a little above activations; each width has a colour and a mark, 8 bits are grey.
series_mark(s) = series_weights[s] ? filled[(series_bits[s] - 2) % 6 + 1] : open[(series_bits[s] - 2) % 6 + 1]
series_colour(s) = series_bits[s] == 8 ? quiet : colours[series_bits[s] - 1]
plot for [s=1:series_count] $points using ($3 == s ? $1 : NaN):($2 + (series_weights[s] ? -0.16 : 0.16)) with points \
    pointtype series_mark(s) pointsize 1.0 linecolor rgb series_colour(s) title labels[s]
