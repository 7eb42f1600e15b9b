// Where long loops can be stopped. A loop that may run for more than some ten milliseconds calls this every few
// microseconds to milliseconds; if the user has pressed Ctrl-C, or another part of the job has failed, it throws.
// core/parallel.cpp installs what is done there; without it, kernels are never stopped.
#pragma once

namespace steep::k {

void interruption_point();  // some 25 ns; may throw
void set_interruption(void (*look)());

}  // namespace steep::k
