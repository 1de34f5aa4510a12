# compare-size.gp: size of the model files. $bars: place bytes.
width = 700 + 130 * (model_count > 3 ? model_count - 3 : 0)
width = width < 7.8 * strlen(subtitle) + 50 ? int(7.8 * strlen(subtitle)) + 50 : width
height = 520
unit = highest >= 1e6 ? 1e6 : 1e3
unit_name = highest >= 1e6 ? 'MB' : 'kB'
axis_title = 'file size ('.unit_name.')'
if (!exists("title")) title = 'Size of the model files'
load plots.'/style.gp'
load plots.'/bars.gp'
set yrange [0:1.22 * highest / unit]
amount(v) = sprintf(v / unit < 10 ? '%.2f %s' : '%.1f %s', v / unit, unit_name)
ratio(v) = sprintf('%.3f of %s', v / first_value, models[1])
line = 0.055 * 1.22 * highest / unit
plot for [i=1:model_count] $bars every ::i-1::i-1 using 1:($2 / unit):(bar) with boxes linecolor rgb colour(i), \
    $bars using 1:($2 / unit + (column(0) > 0 ? 1.9 : 0.9) * line):(amount($2)) with labels font bold(14) textcolor rgb ink, \
    $bars using (column(0) > 0 ? $1 : NaN):($2 / unit + 0.8 * line):(ratio($2)) with labels font plain(10) textcolor rgb quiet
