// Short waits in OpenMP, for a program that shares its cores.
#pragma once

namespace yeoul::cli {

/// Starts the program again with GOMP_SPINCOUNT=5000, unless the environment has that variable or
/// OMP_WAIT_POLICY: libgomp reads them before `main` and offers no call for it. It costs the time
/// of loading the libraries, about 10 ms. Call it first in `main`. Run by an explicit loader
/// (`ld.so ./engine-run`) a program stays as it is.
///
/// oneDNN's loops meet at barriers of libgomp, some hundred in a forward pass. A thread that
/// arrives first spins there 300,000 times, 6 to 12 ms, before it sleeps; when the thread it waits
/// for has lost its core to a decoder, a client or another program, that is how long a core is
/// burnt. With four busy neighbours on two cores the passes of the bundled model took 300 to 1,200
/// ms instead of 1, and engine-serve answered a tenth of the photos. 5,000 spins, a tenth of a
/// millisecond, end that and cost nothing on idle cores; fewer make a single photo slower there.
void keep_openmp_waits_short(char** argv);

} // namespace yeoul::cli
