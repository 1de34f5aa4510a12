# frontier.gp: what plans of bits cost in accuracy, over the bytes of their models. Given: names[], title; $points: kilobytes,
# points below the float network, low, high, kind (1 planned, 2 uniform, 3 chosen), number of its name.
width = 1000
height = 640
axis_title = 'points below the float network'
load plots.'/style.gp'
set lmargin at screen 108.0 / width
set rmargin at screen 1.0 - 60.0 / width
set bmargin at screen 108.0 / height
set key spacing 1.3 at screen 0.5, screen 24.0 / height center center horizontal maxcols 3 samplen 2 textcolor rgb ink
set xlabel 'weights and constants in the file (kB)'
set offsets graph 0.03, graph 0.06, graph 0.06, graph 0.04
set yrange [*:*] reverse
array kinds[3] = ['planned', 'one width for all', 'chosen']
plot 0 with lines linecolor rgb quiet linewidth 2 dashtype '-' notitle, \
    for [k=1:3] $points using ($5 == k ? $1 : NaN):2:3:4 with yerrorbars linecolor rgb colour(k) linewidth 1.5 pointtype mark(k) \
        pointsize (k == 3 ? 1.8 : 1.2) title kinds[k], \
    $points using ($5 > 1 ? $1 : NaN):2:(names[int($6)]) with labels left offset 0.9, 0.6 font plain(10) textcolor rgb ink notitle
