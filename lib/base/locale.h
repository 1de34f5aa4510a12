/* locale.h: numbers in the C locale, whatever setlocale was told. For base's own files. */
#ifndef RESQ_BASE_LOCALE_H
#define RESQ_BASE_LOCALE_H

#include <locale.h>

/* The C locale, made on first use; (locale_t)0, which uselocale takes as "change nothing", where that failed. */
locale_t locale_c(void);

#endif
