# bars.gp: size, style and axes of the charts that compare models, shared by compare-*.gp.
# Given: model_count, models[], models_em; axis_title; decimals, unit, unit_name; head: em of the widest line in a plain 10 above a
# bar; lines: how many stand there; lowest_y, highest_y: the axis's ends.
# Gives: bar, is_many; up(pixels), an offset; amount(v). Many models: numbers stand upright. Long names slant.
load plots.'/measure.gp'
is_many = model_count > 6
pitch = is_many ? 56.0 : pixels(10, head) > 114 ? pixels(10, head) + 16 : 130.0
name_room = pixels(13, models_em)
is_slanted = name_room > pitch - 12
foot = is_slanted ? 36 + 0.65 * name_room : 60.0
above = is_many ? 110.0 : 12 + 22.0 * lines
highest_y = highest_y > lowest_y ? highest_y : lowest_y + 1
step_y = tic_step(highest_y - lowest_y)
format_y = tic_format(step_y, highest_y)
side = axis_room(format_y, highest_y)
side = side > 124 ? side : 124.0
# A slanted name ends below its bar and begins far to the left of it.
side = is_slanted && 0.77 * name_room + 16 > side + 0.6 * pitch ? 0.77 * name_room + 16 - 0.6 * pitch : side
width = ceil(side + 30 + pitch * (model_count + 0.2))
width = width < 700 ? 700 : width
tall = 360.0
height = ceil(78 + above + tall + foot)
load plots.'/style.gp'
set lmargin at screen side / width
set rmargin at screen 1.0 - 30.0 / width
set bmargin at screen foot / height
set tmargin at screen (foot + tall) / height
set xrange [-0.6:model_count - 0.4]
set yrange [lowest_y:highest_y]
set ytics step_y
set format y format_y
model_font = bold(13)
set xtics () scale 0 font model_font
if (is_slanted) { set xtics () rotate by 40 right font model_font }
do for [i=1:model_count] { set xtics add (models[i] i - 1) }
set style fill solid 1.0 border rgb ink
bar = 0.56
up(p) = p / tall
# One number of decimals for all bars; powers of ten where that would be too long.
amount(v) = decimals < 0 ? sprintf('%.2e %s', v / unit, unit_name) : sprintf('%.'.decimals.'f %s', v / unit, unit_name)
upright_font = bold(11)
amount_font = bold(14)
more_font = plain(10)
