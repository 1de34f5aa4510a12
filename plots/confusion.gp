# confusion.gp: the confusion matrix: counts and percent of the true class in the cells.
# Given: class_count, classes[], longest_name; $cells: predicted true count percent.
side = class_count <= 10 ? 92 : class_count <= 20 ? 56 : class_count <= 40 ? 30 : ceil(1200.0 / class_count)
is_slanted = longest_name * 7.6 > side - 4
name_room = longest_name * 9 + 66
width = class_count * side + name_room + 120
width = width < 7.8 * strlen(subtitle) + 50 ? int(7.8 * strlen(subtitle)) + 50 : width
foot = (is_slanted ? longest_name * 6 + 64 : 70)
height = 100 + class_count * side + foot
axis_title = 'true class'
if (!exists("title")) title = 'Confusion matrix'
load plots.'/style.gp'

set lmargin at screen (name_room * 1.0) / width
set rmargin at screen (name_room + class_count * side * 1.0) / width
set bmargin at screen (foot * 1.0) / height
set tmargin at screen (foot + class_count * side * 1.0) / height
set xrange [-0.5:class_count - 0.5]
set yrange [class_count - 0.5:-0.5]
unset grid
set border 15 linecolor rgb faint
set tics scale 0
set xtics () rotate by (is_slanted ? 40 : 0) right
if (!is_slanted) { set xtics () norotate center }
set ytics ()
name_font = plain(side < 24 ? 8 : 12)
set xtics font name_font
set ytics font name_font
named = ceil(11.0 / side) # every so many classes, where not all names fit
do for [i=1:class_count:named] {
    set xtics add (classes[i] i - 1)
    set ytics add (classes[i] i - 1)
}
set xlabel 'predicted class'

# White to dark blue, lightness falling all the way, steeper at the start so that a few percent can be seen.
set palette defined (0 '#ffffff', 2 '#e3eef8', 10 '#b5d2e8', 30 '#6aaed6', 60 '#2a7ab9', 100 '#08306b')
set cbrange [0:100]
set cbtics 0, 20, 100
set colorbox user origin screen (name_room + class_count * side + 22.0) / width, screen (foot * 1.0) / height \
    size screen 16.0 / width, screen (class_count * side * 1.0) / height noborder
set cblabel '% of the true class' offset -0.5,0

has_text = class_count <= 40
has_percent = class_count <= 20
size = class_count <= 10 ? 12 : class_count <= 20 ? 10 : 7
shift = has_percent ? 0.13 : 0
count_font = bold(size)
percent_font = plain(size - 2)
zero_font = plain(size - 2)
count_text(n) = sprintf('%d', n)
percent_text(p) = p > 99.95 ? '100 %' : sprintf('%.1f %%', p)
plot $cells using 1:2:4 with image pixels, \
    $cells using (has_text && $3 > 0 && $4 < 45 ? $1 : NaN):($2 - shift):(count_text($3)) with labels font count_font textcolor rgb ink, \
    $cells using (has_text && $3 > 0 && $4 >= 45 ? $1 : NaN):($2 - shift):(count_text($3)) with labels font count_font textcolor rgb '#ffffff', \
    $cells using (has_text && $3 == 0 ? $1 : NaN):($2 - shift):(count_text($3)) with labels font zero_font textcolor rgb '#999999', \
    $cells using (has_percent && $3 > 0 && $4 < 45 ? $1 : NaN):($2 + 1.6 * shift):(percent_text($4)) with labels font percent_font textcolor rgb ink, \
    $cells using (has_percent && $3 > 0 && $4 >= 45 ? $1 : NaN):($2 + 1.6 * shift):(percent_text($4)) with labels font percent_font textcolor rgb '#ffffff'
