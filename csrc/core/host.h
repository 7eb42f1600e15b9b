// What the core asks of the host language, Python: the interpreter lock around long work, Ctrl-C, the user's line, and
// objects that stand for nodes in its garbage collector. The bindings set all of it once (bindings/host.cpp); alone,
// the core runs with none. Start reading at HostHooks.
#pragma once

#include <string>

namespace steep {

struct Node;

// Null members are skipped.
struct HostHooks {
  void* (*unlock)();      // release the interpreter lock
  void (*lock)(void*);    // take it back
  void (*poll)();         // with the lock held: throws when the user has pressed Ctrl-C
  void (*after_fork)();   // in the child
  std::string (*line)();  // the user's line, as "file.py:12", or ""

  // A rule in the host language may hold tensors of its own graph, and only the host's garbage collector can free such
  // a cycle. So every node with such a rule at or before it has a shell, an object of the host whose count follows the
  // node's (bindings/collect.cpp).
  void* (*make_shell)(Node*);    // throws when memory runs out
  void (*retain_shell)(void*);   // one count more
  void (*release_shell)(void*);  // one less
  void (*node_gone)(void*);      // the last one; the node is about to be freed
};
void set_host_hooks(const HostHooks& hooks);
const HostHooks& host_hooks();

// The user's line in the host language, as "file.py:12"; "" where there is none.
inline std::string user_line() { return host_hooks().line ? host_hooks().line() : std::string(); }

}  // namespace steep
