/* wish.h: the options that say what a data set's pictures are to become. */
#ifndef RESQ_TOOLS_WISH_H
#define RESQ_TOOLS_WISH_H

#include "data/dataset.h"
#include "tools/common/options.h"

struct wish_arguments {
    const char *size, *fit, *filter, *labels;
    int64_t hold_out;
    int grey, colour;
};

/* As one part of a tool's table; a is the struct they fill. What is not given leaves files as they ever were. */
/* clang-format off */
#define WISH_OPTIONS(a) \
    {"size", 0, OPTION_STRING, &(a).size, 0, 0, "HxW", "make all pictures so large", 0, RECORDED_IF_GIVEN}, \
    {"fit", 0, OPTION_CHOICE, &(a).fit, 0, 0, 0, "how, where proportions differ: crop unless given", \
     "crop|pad|stretch", RECORDED_IF_GIVEN}, \
    {"filter", 0, OPTION_CHOICE, &(a).filter, 0, 0, 0, "of resizing: bilinear unless given", \
     "box|bilinear|bicubic", RECORDED_IF_GIVEN}, \
    {"grey", 0, OPTION_FLAG, &(a).grey, 0, 0, 0, "make all pictures grey", 0, RECORDED_IF_GIVEN}, \
    {"colour", 0, OPTION_FLAG, &(a).colour, 0, 0, 0, "make all pictures colour", 0, RECORDED_IF_GIVEN}, \
    {"hold-out", 0, OPTION_INTEGER, &(a).hold_out, 2, 1000, "N", \
     "of a set without test split: every Nth picture of each class is it", 0, RECORDED_IF_GIVEN}, \
    {"labels", 0, OPTION_CHOICE, &(a).labels, 0, 0, 0, "of CIFAR-100: 100 classes or their 20 groups", \
     "fine|coarse", RECORDED_IF_GIVEN}

/* For --help: what is read, and what becomes of pictures. */
#define WISH_HELP \
    "PATH is a folder of CIFAR-10's .bin files or one such file, a tar (plain, .gz, .xz, .bz2) or zip of them,\n" \
    "or an ImageFolder, as a folder or an archive: SPLIT/CLASS/NAME.png or .jpg. SPLIT is train or test; val,\n" \
    "valid or validation is taken for test where there is none. A class is a folder, even an empty one;\n" \
    "pictures in folders below it are its own. With --hold-out also CLASS/NAME without SPLIT. Other files, and\n" \
    "pictures elsewhere, are left out and counted in a warning. Also read, from a folder or an archive:\n" \
    "CIFAR-100's and STL-10's binary versions and IDX files (MNIST and its like), plain or gzip, images and\n" \
    "labels beside each other. Without -d: the environment's CIFAR10_DIR, else the embedded archive.\n\n" \
    "Pictures have sides of 8 to 512 pixels and are grey where all of them are, else colour; --size, --grey\n" \
    "and --colour make them so, and --size is needed where they differ in size. It keeps proportions by\n" \
    "cutting off what is too much (crop) or padding with black (pad), or does not (stretch); resizing is\n" \
    "Pillow's, byte for byte. Grey is R*0.299 + G*0.587 + B*0.114. Palettes become colours, of 16 bits the\n" \
    "upper 8 count, alpha is dropped, and Exif's orientation is applied.\n\n"
/* clang-format on */

/* STATUS_RANGE, with the option's name, where they cannot be meant. */
int wish_take(const struct wish_arguments *a, struct dataset_wish *wish, struct message *m) RESQ_USE_RESULT;

#endif
