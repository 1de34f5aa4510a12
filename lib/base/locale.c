#include "base/locale.h"
#include <pthread.h>

static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;

static void c_locale_make(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

locale_t locale_c(void)
{
    pthread_once(&c_locale_once, c_locale_make);
    return c_locale;
}
