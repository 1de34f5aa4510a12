# peers.gp: resq beside other programs: a group of bars a case, a bar a program, its value above it; a whisker to the median.
# Given: groups[], group_count, programs[], inks[] (a colour each), program_count, highest, title, axis_title, digits; $bars: group program value median.
width = 1000
height = 580
load plots.'/style.gp'
set lmargin at screen 90.0 / width
set rmargin at screen 1.0 - 24.0 / width
set bmargin at screen 96.0 / height
set xrange [-0.5:group_count - 0.5]
set yrange [0:1.1 * highest]
set ytics tic_step(1.1 * highest)
set format y tic_format(tic_step(1.1 * highest), highest)
group_font = bold(11)
set xtics () scale 0 font group_font
# Many groups leave their names little room: two lines of "what, threads".
comma(text) = strstrt(text, ', ')
lines(text) = group_count > 4 && comma(text) ? text[1:comma(text) - 1]."\n".text[comma(text) + 2:] : text
do for [i=1:group_count] { set xtics add (lines(groups[i]) i - 1) }
set style fill solid 1.0 border rgb ink
room = 0.84 / program_count
place(group, program) = group + (program - (program_count + 1) / 2.0) * room
amount(v) = sprintf('%.'.digits.'f', v)
key_font = plain(11)
set key at screen 0.5, screen 26.0 / height center center horizontal maxrows 1 samplen 1.6 font key_font textcolor rgb ink
plot for [i=1:program_count] $bars using (place($1, $2)):($2 == i ? $3 : NaN):(0.9 * room) with boxes linecolor rgb colour(inks[i]) title programs[i], \
    $bars using (place($1, $2)):3:(0):($4 - $3) with vectors heads size graph 0.004,90 linewidth 1.2 linecolor rgb ink notitle, \
    $bars using (place($1, $2)):(($4 > $3 ? $4 : $3) + 0.024 * highest):(amount($3)) with labels font plain(9) textcolor rgb ink notitle
