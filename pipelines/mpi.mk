# Training by several processes: resq-openmpi.so and resq-mpich.so, of which the programs load the one that they were started
# by; none of them links it. Each is built where that MPI's compiler is (Debian's libopenmpi-dev, libmpich-dev), which
# ./setup --develop brings.
#   MPI=            none
#   MPI=openmpi     that one alone
MPI ?= openmpi mpich
MPI_FOUND := $(foreach m,$(MPI),$(if $(shell command -v mpicc.$(m) 2> /dev/null),$(m)))
MPI_LIBRARIES := $(MPI_FOUND:%=$(BIN)/resq-%.so)

all: $(MPI_LIBRARIES)
units: $(MPI_LIBRARIES)

MPI_SOURCES := lib/ranks/mpi/mpi.c $(addprefix lib/base/,status.c locale.c utf8.c)
# An MPI's header is not held to our warnings: its folders are the system's.
$(BIN)/resq-%.so: $(MPI_SOURCES) $(wildcard lib/ranks/*.h lib/base/*.h) | $(B)/flags
	@mkdir -p $(@D)
	$(CC) $(STRICT) $(CFLAGS) $(SANITIZER) $(RESQ_CPPFLAGS) $(patsubst -I%,-isystem %,$(filter -I%,$(shell mpicc.$* -show))) \
		-fPIC -shared -Wl,-Bsymbolic -o $@ $(MPI_SOURCES) $(filter -L% -l% -Wl%,$(shell mpicc.$* -show))
