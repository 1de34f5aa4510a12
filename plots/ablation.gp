# ablation.gp: how far each variant of a recipe is from it, best on top. Given: variants, names[],
# names_em, title; $differences: difference, position, half of the interval that chance alone fills.
width = 1000
height = 170 + 30 * variants
load plots.'/style.gp'
set lmargin at screen (48.0 + pixels(13, names_em)) / width
set rmargin at screen 1.0 - 90.0 / width
set bmargin at screen 76.0 / height
set format x '%.1f'
set xlabel 'difference in held-out accuracy (points); bars: 95 % interval'
set yrange [0.4:variants + 0.6]
set ytics ()
do for [i=1:variants] { set ytics add (names[i] i) }
set grid noytics xtics linetype 1 linecolor rgb faint linewidth 1
set arrow 1 from first 0, graph 0 to first 0, graph 1 nohead linecolor rgb quiet linewidth 2
plot $differences using 1:2:3 with xerrorbars linecolor rgb colours[1] linewidth 2 pointtype filled[1] pointsize 1.2, \
    $differences using 1:2:(sprintf('%+.2f', $1)) with labels offset 0, 0.9 font plain(10) textcolor rgb ink
