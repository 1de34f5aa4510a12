# curves.gp: size and key of charts over epochs, shared by loss.gp and accuracy.gp; before style.gp.
# Given: runs, labels[], labels_em, first_epoch, last_epoch, key_entry (em of the widest entry of the key), key_count,
# key_group (entries that stay side by side); $runs holds a block a run: epoch loss train held-out rate. Gives: width, key_columns, foot_pixels (below the axes).
load plots.'/measure.gp'
width = 1000
key_columns = int((width - 40) / (pixels(13, key_entry) + 90))
key_columns = key_columns < 1 ? 1 : key_columns > 4 ? 4 : key_columns
key_columns = key_columns > key_group ? key_columns - key_columns % key_group : key_columns
key_columns = key_columns > key_count ? key_count : key_columns
foot_pixels = 76.0 + 24.0 * ceil(key_count * 1.0 / key_columns)
