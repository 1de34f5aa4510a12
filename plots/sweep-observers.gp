# sweep-observers.gp: accuracy of each observer as bars, side by side per channel and per tensor, with intervals. Given: curves,
# labels[], places[], float_accuracy, lowest, highest; $curves holds a block for each granularity: place accuracy low high.
width = 240 + 200 * place_count
height = 600
top = float_accuracy > highest ? float_accuracy : highest
# As the other bars: cut where the differences would not be seen, and said to be.
start = 5 * floor((lowest - 0.25 * (top - lowest)) / 5)
is_cut = lowest > 50 && start > 0
start = is_cut ? start : 0
axis_title = is_cut ? sprintf('accuracy (%%), axis cut: starts at %g', start) : 'accuracy (%)'
load plots.'/style.gp'
set lmargin at screen 124.0 / width
set rmargin at screen 1.0 - 30.0 / width
set bmargin at screen 100.0 / height
set xrange [0.4:place_count + 0.6]
upper = top + 0.2 * (top - start)
set yrange [start:upper]
place_font = bold(13)
set xtics () scale 0 font place_font
do for [i=1:place_count] { set xtics add (places[i] i) }
if (is_cut) {
    set arrow 1 from screen 116.0 / width, graph 0.028 to screen 132.0 / width, graph 0.052 nohead linecolor rgb ink linewidth 1.5 front
    set arrow 2 from screen 116.0 / width, graph 0.048 to screen 132.0 / width, graph 0.072 nohead linecolor rgb ink linewidth 1.5 front
}
set style fill solid 1.0 border rgb ink
set key at screen 0.5, screen 30.0 / height center center horizontal maxcols 3 samplen 2 textcolor rgb ink
bar = 0.36
at(x, i) = x + (i - (curves + 1) / 2.0) * 1.1 * bar
amount(v) = sprintf('%.2f %%', v)
line = 0.055 * (upper - start)
# The line goes behind all: values stay legible where it crosses them.
plot float_accuracy with lines linecolor rgb quiet linewidth 2 dashtype '-' title sprintf('float: %.2f %%', float_accuracy), \
    for [i=1:curves] $curves index i-1 using (at($1, i)):2:(bar) with boxes linecolor rgb colour(i) title labels[i], \
    for [i=1:curves] $curves index i-1 using (at($1, i)):3:(0):($4 - $3) with vectors heads size graph 0.008,90 linewidth 2 \
        linecolor rgb ink notitle, \
    for [i=1:curves] $curves index i-1 using (at($1, i)):($4 + 0.8 * line):(amount($2)) with labels font bold(11) textcolor rgb ink \
        notitle
