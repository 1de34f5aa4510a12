# Training by several processes: resq-openmpi.so and resq-mpich.so, of which the programs load the one that they were started
# by; none of them links it. Each is built where that MPI's compiler is (Debian's libopenmpi-dev, libmpich-dev), which
# ./setup --develop brings.
#   MPI=            none
#   MPI=openmpi     that one alone
MPI ?= openmpi mpich
# A cluster's modules bring a plain mpicc, which says whose it is.
MPI_PLAIN := $(if $(MAY_BUILD),$(shell { mpicc --showme:version || mpicc -v; } 2>&1 | grep -oE 'Open MPI|MPICH' | head -n 1))
MPI_PLAIN_openmpi := $(filter Open,$(MPI_PLAIN))
MPI_PLAIN_mpich := $(filter MPICH,$(MPI_PLAIN))
$(foreach m,$(MPI),$(eval MPICC_$(m) := $(or $(shell command -v mpicc.$(m) 2> /dev/null),$(if $(MPI_PLAIN_$(m)),mpicc))))
MPI_FOUND := $(foreach m,$(MPI),$(if $(MPICC_$(m)),$(m)))
MPI_LIBRARIES := $(MPI_FOUND:%=$(BIN)/resq-%.so)

all: $(MPI_LIBRARIES)
units: $(MPI_LIBRARIES)

MPI_SOURCES := lib/ranks/mpi/mpi.c $(addprefix lib/base/,status.c locale.c utf8.c)
# An MPI's header is not held to our warnings: its folders are the system's.
$(BIN)/resq-%.so: $(MPI_SOURCES) $(wildcard lib/ranks/*.h lib/base/*.h) | $(B)/flags
	@mkdir -p $(@D)
	$(CC) $(STRICT) $(CFLAGS) $(SANITIZER) $(RESQ_CPPFLAGS) $(patsubst -I%,-isystem %,$(filter -I%,$(shell $(MPICC_$*) -show))) \
		-fPIC -shared -Wl,-Bsymbolic -o $@ $(MPI_SOURCES) $(filter -L% -l% -Wl%,$(shell $(MPICC_$*) -show))
