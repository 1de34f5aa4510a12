# confusion.gp: the confusion matrix: counts and percent of the true class in the cells, as far as they fit.
# Given: class_count, classes[], classes_em, count_digits (of the largest count); $cells: predicted true count percent, without
# empty cells where there are too many of them to say 0.
load plots.'/measure.gp'
side = class_count <= 10 ? 92 : class_count <= 20 ? 56 : class_count <= 50 ? 30 : class_count <= 100 ? 14 : ceil(1280.0 / class_count)
name_size = side < 24 ? 8 : 12
line = 18.0 * name_size / 12
name_width = pixels(name_size, classes_em)
# Below the matrix names lie where they fit, slant where lines still clear each other, and stand upright in a crowd.
angle = name_width < side - 8 ? 0 : 0.64 * side > line ? 40 : 90
foot = 44.0 + (angle == 0 ? 26 : angle == 40 ? 0.65 * name_width + 22 : name_width + 14)
name_room = name_width + 66.0
# A slanted name begins left of its column.
name_room = angle == 40 && 0.77 * name_width + 20 > name_room + 0.5 * side ? 0.77 * name_width + 20 - 0.5 * side : name_room
body = class_count * side * 1.0
body = body < 184 ? 184.0 : body
# Whole pixels, so that no seam shows between cells.
body = 1.0 * class_count * ceil(body / class_count)
foot = ceil(foot) * 1.0
name_room = ceil(name_room) * 1.0
width = ceil(body + name_room + 130)
height = ceil(100 + body + foot)
axis_title = 'true class'
if (!exists("title")) title = 'Confusion matrix'
load plots.'/style.gp'

set lmargin at screen name_room / width
set rmargin at screen (name_room + body) / width
set bmargin at screen foot / height
set tmargin at screen (foot + body) / height
set xrange [-0.5:class_count - 0.5]
set yrange [class_count - 0.5:-0.5]
unset grid
set border 15 linecolor rgb faint
set tics scale 0
name_font = plain(name_size)
if (angle == 0) { set xtics () norotate center font name_font } else { set xtics () rotate by angle right font name_font }
set ytics () font name_font
named = ceil(line / side) # every so many classes, where not all names fit
do for [i=1:class_count:named] {
    set xtics add (classes[i] i - 1)
    set ytics add (classes[i] i - 1)
}
set label 1004 'predicted class' at screen (name_room + 0.5 * body) / width, screen 22.0 / height center front textcolor rgb ink

# White to dark blue, lightness falling all the way, steeper at the start so that a few percent can be seen.
set palette defined (0 '#ffffff', 2 '#e3eef8', 10 '#b5d2e8', 30 '#6aaed6', 60 '#2a7ab9', 100 '#08306b')
set cbrange [0:100]
set cbtics 0, 20, 100
set colorbox user origin screen (name_room + body + 22.0) / width, screen foot / height size screen 16.0 / width, screen body / height noborder
set label 1005 '% of the true class' at screen (name_room + body + 104.0) / width, screen (foot + 0.5 * body) / height center rotate by 90 \
    front textcolor rgb ink

# A digit of the bold font is 0.7 em wide, one of the plain 0.64; "100.0 %" needs 4.4 em.
cell = body / class_count - 6
size = floor(0.75 * cell / (0.7 * count_digits))
size = size > 12 ? 12 : size
size = cell < 60 && size > 10 ? 10 : size
has_text = size >= 6
percent_size = floor(0.75 * cell / 4.4)
percent_size = percent_size > size - 2 ? size - 2 : percent_size
has_percent = has_text && percent_size >= 6
shift = has_percent ? 0.13 : 0
count_font = bold(has_text ? size : 6)
percent_font = plain(has_percent ? percent_size : 6)
zero_font = plain(size > 8 ? size - 2 : 6)
count_text(n) = sprintf('%.0f', n)
percent_text(p) = sprintf('%.1f %%', p)
set style fill solid 1.0 noborder
plot $cells using 1:2:($1 - 0.5):($1 + 0.5):($2 - 0.5):($2 + 0.5):4 with boxxyerror linecolor palette, \
    $cells using (has_text && $3 > 0 && $4 < 45 ? $1 : NaN):($2 - shift):(count_text($3)) with labels font count_font textcolor rgb ink, \
    $cells using (has_text && $3 > 0 && $4 >= 45 ? $1 : NaN):($2 - shift):(count_text($3)) with labels font count_font textcolor rgb '#ffffff', \
    $cells using (has_text && $3 == 0 ? $1 : NaN):($2 - shift):(count_text($3)) with labels font zero_font textcolor rgb '#999999', \
    $cells using (has_percent && $3 > 0 && $4 < 45 ? $1 : NaN):($2 + 1.6 * shift):(percent_text($4)) with labels font percent_font textcolor rgb ink, \
    $cells using (has_percent && $3 > 0 && $4 >= 45 ? $1 : NaN):($2 + 1.6 * shift):(percent_text($4)) with labels font percent_font textcolor rgb '#ffffff'
