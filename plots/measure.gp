# measure.gp: functions that the scripts share.
# Pixels that a text takes, from its width in em and the points (in SVG: pixels, enlarged) of its font.
pixels(size, em) = em * size * 4.0 / 3
# A round step for about six tics over a span, and a format that gives all tics of an axis the same digits.
raw_step(span) = 10 ** floor(log10(span / 6.0))
round_step(f) = f < 1.5 ? 1 : f < 3.5 ? 2 : f < 7.5 ? 5 : 10
tic_step(span) = round_step(span / 6.0 / raw_step(span)) * raw_step(span)
tic_decimals(step) = step < 1 ? int(ceil(-log10(step) - 1e-9)) : 0
tic_format(step, most) = most >= 1e7 || step < 1e-6 ? '%.2e' : sprintf('%%.%df', tic_decimals(step))
# Pixels left of an axis whose widest tic is most: the axis's name, and a digit's width for each of its letters.
axis_room(format, most) = 56 + 11.2 * strlen(sprintf(format, most))
