// Where long loops can be stopped. A loop that may run for more than some ten milliseconds comes by here every
// microseconds to milliseconds of work; where the user has pressed Ctrl-C, or the rest of the job has failed, it leaves
// by an exception. core/parallel.cpp says what happens there; on their own, kernels are never stopped.
#pragma once

namespace steep::k {

void interruption_point();  // some 25 ns; may throw
void set_interruption(void (*look)());

}  // namespace steep::k
