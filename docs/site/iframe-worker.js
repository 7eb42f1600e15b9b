// A Worker for a site that is opened from a folder, where browsers start none: the script runs in a hidden frame.
// The theme's search asks for this name; without the file the theme would load one like it from elsewhere.
class IFrameWorker extends EventTarget {
  constructor(url) {
    super();
    this.frame = document.body.appendChild(Object.assign(document.createElement("iframe"), { hidden: true }));
    const inside = this.frame.contentWindow;
    window.addEventListener("message", (event) => {
      if (event.source !== inside) return;
      const copy = new MessageEvent("message", { data: event.data });
      this.dispatchEvent(copy);
      if (this.onmessage) this.onmessage(copy);
    });
    inside.document.open();
    inside.document.write(`<body><script>${IFrameWorker.scope}</` + `script><script src="${url}"></` + `script></body>`);
    inside.document.close();
    this.loaded = new Promise((resolve) => (inside.onload = resolve)); // open() has removed what was set before
  }
  postMessage(data) {
    const event = structuredClone({ data });
    this.loaded.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", event)));
  }
  terminate() {
    this.frame.remove();
  }
}
// What a worker's script finds in its global scope.
IFrameWorker.scope = `
  postMessage = (data) => parent.postMessage(data, "*");
  importScripts = (...urls) => urls.reduce((before, url) => before.then(() => new Promise((resolve) => {
    const script = Object.assign(document.createElement("script"), { src: url, onload: resolve });
    document.body.appendChild(script);
  })), Promise.resolve());
`;
window.IFrameWorker = IFrameWorker;
if (location.protocol === "file:") window.Worker = IFrameWorker;
