# key.gp: a key of curves below the axes, laid out by measured widths; after style.gp.
# Given: key_count, key_columns, key_entry (em of the widest entry), key_text(i), key_colour(i), key_dash(i), key_mark(i), key_bold(i).
key_pitch = pixels(13, key_entry) + 90
key_rows = int(ceil(key_count * 1.0 / key_columns))
key_left = 0.5 * (width - key_pitch * key_columns) + 20
key_x(i) = (key_left + key_pitch * ((i - 1) % key_columns)) / width
key_y(i) = (12.0 + 24 * (key_rows - 1 - int((i - 1) / key_columns))) / height
do for [i=1:key_count] {
    set arrow 2000 + i from screen key_x(i), screen key_y(i) to screen key_x(i) + 44.0 / width, screen key_y(i) nohead \
        linecolor rgb key_colour(i) linewidth (key_bold(i) ? 2.5 : 1.5) dashtype key_dash(i)
    set label 2000 + i '' at screen key_x(i) + 22.0 / width, screen key_y(i) point linecolor rgb key_colour(i) pointtype key_mark(i) pointsize 1.1
    set label 3000 + i key_text(i) at screen key_x(i) + 54.0 / width, screen key_y(i) left textcolor rgb ink
}
