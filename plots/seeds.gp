# seeds.gp: one curve a seed, one colour, dash and mark a kind of training.
# Given: names[], first[] (index of a kind's first curve; one more at the end), kind_count, epochs, title, subtitle, axis_title;
# $curves: a block a curve, epoch and value.
width = 1000
height = 600
load plots.'/style.gp'
set lmargin at screen 108.0 / width
set rmargin at screen 1.0 - 30.0 / width
set bmargin at screen 112.0 / height
set xlabel 'epoch'
set xrange [0.9:epochs + 0.1]
set xtics epochs <= 16 ? 1 : 5
set key at screen 0.5, screen 24.0 / height center center horizontal maxrows 1 samplen 4 textcolor rgb ink
plot for [k=1:kind_count] for [i=first[k]:first[k + 1] - 1] $curves index i using 1:2 with linespoints linecolor rgb colour(k) \
    linewidth 1.8 dashtype dash(k) pointtype mark(k) pointsize 0.9 title (i == first[k] ? names[k] : '')
