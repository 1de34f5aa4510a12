# networks.gp: accuracy of networks over the size of their files and over the time of an image. Given: networks, names[]; $model1 to
# $model3 (float, PTQ, QAT) and $all hold rows: network bytes milliseconds accuracy low high.
width = 1380
height = 640
title = 'Networks: accuracy over size and over time'
axis_title = 'accuracy (%)'
load plots.'/style.gp'
# Networks beyond the colours have open marks.
shape(n, k) = n > 6 ? open_mark(k) : mark(k)
array models[3] = ['float', 'PTQ', 'QAT']
stats $all using 5 nooutput
lowest = STATS_min
stats $all using 6 nooutput
highest = STATS_max
room = highest > lowest ? 0.05 * (highest - lowest) : 1
set yrange [lowest - room:highest + room]
set logscale x
set bmargin at screen 84.0 / height
set key spacing 1.3 at screen 1.0 - 16.0 / width, screen 1.0 - 84.0 / height right top vertical samplen 2 textcolor rgb ink
set multiplot
set lmargin at screen 100.0 / width
set rmargin at screen 580.0 / width
set xlabel 'file size (MB)'
plot for [n=1:networks] $all using ($1 == n ? $2 / 1e6 : NaN):4 with lines linecolor rgb colour(n) dashtype dash(ceil(n / 6.0)) linewidth 1.5 notitle, \
    for [n=1:networks] $model1 using ($1 == n ? $2 / 1e6 : NaN):4:5:6 with yerrorbars linecolor rgb colour(n) pointtype shape(n, 1) pointsize 1.2 title names[n], \
    for [n=1:networks] $model2 using ($1 == n ? $2 / 1e6 : NaN):4:5:6 with yerrorbars linecolor rgb colour(n) pointtype shape(n, 2) pointsize 1.2 notitle, \
    for [n=1:networks] $model3 using ($1 == n ? $2 / 1e6 : NaN):4:5:6 with yerrorbars linecolor rgb colour(n) pointtype shape(n, 3) pointsize 1.2 notitle, \
    for [k=1:3] keyentry with points linecolor rgb quiet pointtype mark(k) pointsize 1.2 title models[k]
unset key
unset label 1001
unset label 1002
unset label 1003
set lmargin at screen 650.0 / width
set rmargin at screen 1130.0 / width
set xlabel 'time of an image (ms)'
plot for [n=1:networks] $all using ($1 == n ? $3 : NaN):4 with lines linecolor rgb colour(n) dashtype dash(ceil(n / 6.0)) linewidth 1.5 notitle, \
    for [n=1:networks] $model1 using ($1 == n ? $3 : NaN):4:5:6 with yerrorbars linecolor rgb colour(n) pointtype shape(n, 1) pointsize 1.2 notitle, \
    for [n=1:networks] $model2 using ($1 == n ? $3 : NaN):4:5:6 with yerrorbars linecolor rgb colour(n) pointtype shape(n, 2) pointsize 1.2 notitle, \
    for [n=1:networks] $model3 using ($1 == n ? $3 : NaN):4:5:6 with yerrorbars linecolor rgb colour(n) pointtype shape(n, 3) pointsize 1.2 notitle
unset multiplot
