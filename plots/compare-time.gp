# compare-time.gp: time for one image: median, with a whisker up to the 95th percentile. $bars: place median p95.
width = 700 + 130 * (model_count > 3 ? model_count - 3 : 0)
width = width < 7.8 * strlen(subtitle) + 50 ? int(7.8 * strlen(subtitle)) + 50 : width
height = 540
axis_title = 'ms (median; whisker: 95th percentile)'
if (!exists("title")) title = 'Time for one image'
load plots.'/style.gp'
load plots.'/bars.gp'
upper = 1.25 * highest
set yrange [0:upper]
amount(v) = sprintf(v < 0.1 ? '%.4f ms' : v < 1 ? '%.3f ms' : v < 100 ? '%.2f ms' : '%.0f ms', v)
speed(v) = sprintf('%.2f x as fast as %s', first_value / v, models[1])
line = 0.055 * upper
head(median, high) = high > median ? high : median
plot for [i=1:model_count] $bars every ::i-1::i-1 using 1:2:(bar) with boxes linecolor rgb colour(i), \
    $bars using 1:2:(0):(head($2, $3) - $2) with vectors head size graph 0.008,90 linewidth 2 linecolor rgb ink, \
    $bars using 1:(head($2, $3) + (column(0) > 0 ? 1.9 : 0.9) * line):(amount($2)) with labels font bold(14) textcolor rgb ink, \
    $bars using (column(0) > 0 ? $1 : NaN):(head($2, $3) + 0.8 * line):(speed($2)) with labels font plain(10) textcolor rgb quiet
