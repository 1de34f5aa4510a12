# bars.gp: axes of the charts that compare models, shared by compare-*.gp. Given: model_count, model_tics[].
set lmargin at screen 124.0 / width
set rmargin at screen 1.0 - 30.0 / width
set bmargin at screen 60.0 / height
set xrange [-0.6:model_count - 0.4]
model_font = bold(13)
set xtics () scale 0 font model_font
do for [i=1:model_count] { set xtics add (model_tics[i] i - 1) }
set style fill solid 1.0 border rgb ink
bar = 0.56
