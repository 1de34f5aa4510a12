# What every recipe finds in its environment: numbers have points whatever the user's country, and no habit kept in a variable
# changes what a program does. (A script that is called by hand sees to this in its first line; `make lint` looks.)
override LC_ALL := C
override TZ := UTC0
export LC_ALL TZ
unexport BASH_ENV ENV CDPATH IFS GLOBIGNORE SHELLOPTS BASHOPTS BASH_COMPAT BASH_XTRACEFD EXECIGNORE FUNCNEST
unexport POSIXLY_CORRECT _POSIX2_VERSION GREP_OPTIONS GREP_COLOR GREP_COLORS LS_COLORS QUOTING_STYLE TIME_STYLE
unexport BLOCK_SIZE BLOCKSIZE DF_BLOCK_SIZE TAR_OPTIONS XZ_OPT XZ_DEFAULTS GZIP AWKPATH AWKLIBPATH MAWKBINMODE WHINY_USERS
unexport GNUTERM GNUPLOT_LIB GNUPLOT_FONTPATH GNUPLOT_DEFAULT_GDFONT GDFONTPATH
unexport GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE
