# sweep-lines.gp: accuracy over something tried, one curve a variant. Given: curves, labels[], places[] (on the axis), x_title,
# is_log (images, not bits), float_accuracy; $curves holds a block a curve: place accuracy low high.
width = 1000
height = 640
axis_title = 'accuracy (%)'
load plots.'/style.gp'
set lmargin at screen 108.0 / width
set rmargin at screen 1.0 - 40.0 / width
rows = ceil((curves + 1) / 3.0)
set bmargin at screen (84.0 + 24.0 * rows) / height
set key spacing 1.3 at screen 0.5, screen (12.0 + 12.0 * rows) / height center center horizontal maxcols 3 samplen 4 textcolor rgb ink
set xlabel x_title
set xtics ()
do for [i=1:place_count] { set xtics add (places[i] real(places[i])) }
least_place = real(places[1])
last_place = least_place
do for [i=1:place_count] {
    least_place = real(places[i]) < least_place ? real(places[i]) : least_place
    last_place = real(places[i]) > last_place ? real(places[i]) : last_place
}
# Curves stand a little aside of each other, so that their bars can be told apart.
aside(i) = i - (curves + 1) / 2.0
if (is_log) {
    set logscale x
    set xrange [least_place / 1.25:last_place * 1.25]
    at(x, i) = x * 1.025 ** aside(i)
} else {
    # From many bits to few: what is lost is read from left to right.
    set xrange [last_place + 0.4:least_place - 0.4]
    at(x, i) = x - 0.04 * aside(i)
}
top = float_accuracy > highest ? float_accuracy : highest
room = top > lowest ? 0.05 * (top - lowest) : 1
set yrange [lowest - room:top + room]
set ytics tic_step(top - lowest + 2 * room)
set format y tic_format(tic_step(top - lowest + 2 * room), 100)
plot float_accuracy with lines linecolor rgb quiet linewidth 2 dashtype '-' title sprintf('float: %.2f %%', float_accuracy), \
    for [i=1:curves] $curves index i-1 using (at($1, i)):2:3:4 with yerrorbars linecolor rgb colour(i) linewidth 1.5 \
        pointtype mark(i) pointsize 1.1 notitle, \
    for [i=1:curves] $curves index i-1 using (at($1, i)):2 with linespoints linecolor rgb colour(i) linewidth 2.5 \
        dashtype dash(i) pointtype mark(i) pointsize 1.1 title labels[i]
