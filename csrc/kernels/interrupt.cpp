// The interruption point of long loops: see interrupt.h.
#include "kernels/interrupt.h"

namespace steep::k {
namespace {
void (*look_up)() = nullptr;
}

void interruption_point() {
  if (look_up) look_up();
}
void set_interruption(void (*look)()) { look_up = look; }

}  // namespace steep::k
