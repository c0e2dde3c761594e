// Portkey listens on every address and has no option for that: here only this machine may ask it. Nor has it one for how
// long a connection may wait for its next request; after the usual 5 s, the load would lose those that are done early.
import net from "node:net"

const listen = net.Server.prototype.listen
net.Server.prototype.listen = function (port, _address, ready) {
  this.keepAliveTimeout = 75_000
  return listen.call(this, port, "127.0.0.1", ready)
}
