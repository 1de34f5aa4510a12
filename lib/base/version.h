/* version.h: what --version prints and every result names: MAJOR.MINOR.PATCH. A checkpoint is gone on from by the
 * same MAJOR. The Makefile takes its VERSION from this line. */
#ifndef RESQ_BASE_VERSION_H
#define RESQ_BASE_VERSION_H

#define RESQ_VERSION "0.2.0"

#endif
