# style.gp: what every chart shares. Each script sets width, height, title and axis_title first, then loads this; NAME_em is the
# width of a text NAME in multiples of its font's size, where whoever wrote it has measured it. The picture becomes wider where
# title and subtitle need it.
# Colours are Okabe and Ito's, told apart by the colour-blind and, with marks and dashes beside them, in grey.
set encoding utf8
set decimalsign '.'
# A browser has a sans-serif; gnuplot's own drawing needs a font by name. Sizes are points in PNG, pixels in SVG.
is_svg = format eq 'svg'
plain(size) = sprintf(is_svg ? 'sans-serif,%d' : 'DejaVu Sans,%d', size)
bold(size)  = sprintf(is_svg ? 'sans-serif:Bold,%d' : 'DejaVu Sans:Bold,%d', size)
load plots.'/measure.gp'
title_em = exists("title_em") ? title_em : 0.7 * strlen(title)
subtitle_em = exists("subtitle_em") ? subtitle_em : 0.56 * strlen(subtitle)
least_width = 40 + ceil(pixels(16, title_em) > pixels(11, subtitle_em) ? pixels(16, title_em) : pixels(11, subtitle_em))
width = width < least_width ? least_width : width
if (is_svg) {
    set terminal svg size width,height noenhanced font plain(13) fontscale 1.3 background '#ffffff'
} else {
    set terminal pngcairo size width,height noenhanced font plain(13) background '#ffffff'
}

ink   = '#1a1a1a'
quiet = '#666666'
faint = '#d9d9d9'

array colours[6]
colours[1] = '#0072b2'
colours[2] = '#d55e00'
colours[3] = '#009e73'
colours[4] = '#cc79a7'
colours[5] = '#e69f00'
colours[6] = '#56b4e9'
colour(i) = colours[(int(i) - 1) % 6 + 1]
# Point types in pairs: circle, square, triangle, diamond, triangle down, pentagon; filled and open.
array filled[6] = [7, 5, 9, 13, 11, 15]
array open[6]   = [6, 4, 8, 12, 10, 14]
dash(i)      = int(i)
mark(i)      = filled[(int(i) - 1) % 6 + 1]
open_mark(i) = open[(int(i) - 1) % 6 + 1]

set border 3 linecolor rgb '#808080' linewidth 1
set tics nomirror out scale 0.6 textcolor rgb ink
set grid ytics linetype 1 linecolor rgb faint linewidth 1
set style fill solid 1.0 noborder
set datafile separator '\t'
set datafile missing 'NaN'
unset key

# Title and data set: top left, clear of everything.
left = 20.0 / width
set label 1001 title at screen left, screen 1.0 - 26.0 / height left front font bold(16) textcolor rgb ink
set label 1002 subtitle at screen left, screen 1.0 - 50.0 / height left front font plain(11) textcolor rgb quiet
set tmargin at screen 1.0 - 78.0 / height
# The vertical axis's name stands at the left edge, whatever the tic labels' width.
if (exists("axis_title")) {
    set label 1003 axis_title at screen 24.0 / width, graph 0.5 center rotate by 90 front textcolor rgb ink
}
