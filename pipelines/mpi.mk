# Training by several processes: resq-openmpi.so and resq-mpich.so, of which the programs load the one that they were started
# by; none of them links it. Each is built where that MPI's compiler is (Debian's libopenmpi-dev, libmpich-dev), which
# ./setup --develop brings.
#   MPI=            none
#   MPI=openmpi     that one alone
MPI ?= openmpi mpich
# A cluster's modules bring a plain mpicc, which is asked whose it is where one of them has no compiler under its own name.
MPI_NAMED := $(foreach m,$(MPI),$(if $(shell command -v mpicc.$(m) 2> /dev/null),$(m)))
MPI_PLAIN := $(if $(and $(MAY_BUILD),$(filter-out $(MPI_NAMED),$(MPI))),$(shell { mpicc --showme:version || mpicc -v; } 2>&1 | \
	sed -n 's/.*Open MPI.*/openmpi/p; s/.*MPICH.*/mpich/p' | head -n 1))
MPI_FOUND := $(filter $(MPI_NAMED) $(MPI_PLAIN),$(MPI))
mpicc_of = $(if $(filter $(1),$(MPI_NAMED)),mpicc.$(1),mpicc)
MPI_LIBRARIES := $(MPI_FOUND:%=$(BIN)/resq-%.so)

all: $(MPI_LIBRARIES)
units: $(MPI_LIBRARIES)

MPI_SOURCES := lib/ranks/mpi/mpi.c $(addprefix lib/base/,status.c locale.c utf8.c)
# An MPI's header is not held to our warnings: its folders are the system's.
$(BIN)/resq-%.so: $(MPI_SOURCES) $(wildcard lib/ranks/*.h lib/base/*.h) | $(B)/flags
	@mkdir -p $(@D)
	$(CC) $(STRICT) $(CFLAGS) $(SANITIZER) $(RESQ_CPPFLAGS) $(patsubst -I%,-isystem %,$(filter -I%,$(shell $(call mpicc_of,$*) -show))) \
		-fPIC -shared -Wl,-Bsymbolic -o $@ $(MPI_SOURCES) $(filter -L% -l% -Wl%,$(shell $(call mpicc_of,$*) -show))
