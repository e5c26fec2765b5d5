// Browsers load neither modules nor models from file://, so say there what to do instead.
if (location.protocol === "file:") {
  document.getElementById("status").textContent =
    "A browser does not load the generator from a file. In this folder run: python -m http.server 8000 - then open http://localhost:8000";
}
