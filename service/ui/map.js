import { getTagged } from "./api.js";
import { h } from "./dom.js";
import { percent, secondsSince, span } from "./format.js";
import { t } from "./i18n.js";
import { JobMarkers } from "./jobmarkers.js";
import { BREAKS, classLabels, riskColours, token } from "./scale.js";
import { on, state, update } from "./store.js";

const VENDOR = "/ui/vendor/maplibre-gl";
const EMPTY = { type: "FeatureCollection", features: [] };
const DISTRICT_MAX_ZOOM = 14.5;

class RoadMap extends HTMLElement {
  #map = null;
  #library = null;
  #tag = null;
  #layer = EMPTY;
  #markers = [];
  #jobs = null;
  #fitted = false;

  async connectedCallback() {
    this.setAttribute("role", "region");
    this.setAttribute("aria-label", t("map_label"));
    try {
      this.#library = await import(`${VENDOR}.mjs`);
    } catch {
      this.#message("map_missing_title", "map_missing", "python deploy/install_ui_libraries.py");
      return;
    }
    await this.#style();
    this.#start();
    on(["horizon", "language"], () => this.#paint());
    on(["language"], () => this.setAttribute("aria-label", t("map_label")));
    on(["selected"], (names) => names.has("selected") && this.#select());
    on(["hovered"], () => this.#hover());
    on(["worklist"], () => this.#showPotholes());
    on(["worklist", "tab", "job", "language"], () => this.#showJobs());
    on(["job"], () => this.#jobs?.fit());
    on(["city"], () => this.#showCity());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#paint());
  }

  /** For tests and for people with a console. */
  get map() {
    return this.#map;
  }

  async #style() {
    const link = h("link", { rel: "stylesheet", href: `${VENDOR}.css` });
    const loaded = new Promise((resolve) => link.addEventListener("load", resolve, { once: true }));
    document.head.append(link);
    await loaded;
  }

  #message(title, text, command) {
    const render = () =>
      this.replaceChildren(
        h(
          "div",
          { class: "map-message" },
          h("h2", {}, t(title)),
          h("p", {}, t(text)),
          command && h("code", {}, command),
          h("p", { class: "muted" }, t("map_missing_rest")),
        ),
      );
    render();
    on(["language"], render);
  }

  #start() {
    const container = h("div", { class: "map-canvas" });
    this.tooltip = h("div", { class: "map-tooltip", hidden: true });
    const roomy = matchMedia("(min-width: 761px)").matches;
    this.legend = h("details", { class: "legend", open: roomy });
    this.replaceChildren(container, this.legend, this.tooltip);
    try {
      this.#map = new this.#library.Map({
        container,
        style: {
          version: 8,
          sources: {
            segments: { type: "geojson", data: EMPTY, promoteId: "segment_id" },
            potholes: { type: "geojson", data: EMPTY },
          },
          layers: this.#layers(),
        },
        center: [7.01, 51.45],
        zoom: 11,
        attributionControl: false,
        dragRotate: false,
        pitchWithRotate: false,
        touchPitch: false,
      });
    } catch {
      this.#message("map_failed_title", "map_failed");
      return;
    }
    const map = this.#map;
    map.touchZoomRotate.disableRotation();
    map.addControl(new this.#library.NavigationControl({ showCompass: false }), "top-right");
    map.addControl({ onAdd: () => this.#fitControl(), onRemove: () => {} }, "top-right");
    map.addControl(new this.#library.ScaleControl({ unit: "metric" }), "bottom-left");
    this.#jobs = new JobMarkers(map, this.#library);
    map.on("load", () => {
      this.#paint();
      this.#showCity();
      this.#showPotholes();
      this.#showJobs();
      this.refresh();
    });
    map.on("mousemove", (event) => this.#point(event));
    map.on("mouseout", () => this.#point(null));
    map.on("click", (event) => {
      const found = this.#find(event.point);
      update({ selected: found ? found.properties.segment_id : null });
    });
    map.on("zoom", () => this.#showDistricts());
  }

  #layers() {
    const byClass = (main, collector, other) => ["match", ["get", "road_class"], "main", main, "collector", collector, other];
    const width = (extra) => [
      "interpolate",
      ["exponential", 1.5],
      ["zoom"],
      10,
      byClass(2 + extra, 1.4 + extra, 1 + extra),
      13,
      byClass(4 + extra, 3 + extra, 2.2 + extra),
      17,
      byClass(16 + extra, 13 + extra, 10 + extra),
    ];
    const flag = (name) => ["boolean", ["feature-state", name], false];
    return [
      { id: "background", type: "background" },
      {
        id: "halo",
        type: "line",
        source: "segments",
        layout: { "line-cap": "round", "line-join": "round" },
        paint: {
          "line-width": width(7),
          "line-opacity": ["case", flag("selected"), 0.9, flag("job"), 0.6, flag("hovered"), 0.4, 0],
        },
      },
      {
        id: "segments",
        type: "line",
        source: "segments",
        layout: { "line-cap": "round", "line-join": "round", "line-sort-key": ["coalesce", ["get", "risk_28d"], -1] },
        paint: { "line-width": width(0) },
      },
      {
        id: "potholes",
        type: "circle",
        source: "potholes",
        paint: {
          "circle-radius": ["interpolate", ["linear"], ["zoom"], 10, ["+", 0.5, ["*", 0.7, ["get", "severity"]]], 16, ["+", 3, ["*", 2, ["get", "severity"]]]],
          "circle-stroke-width": ["interpolate", ["linear"], ["zoom"], 10, 1, 15, 2],
        },
      },
    ];
  }

  /** Colours, legend: whenever horizon, language or light and dark change. */
  #paint() {
    const map = this.#map;
    if (!map?.getLayer("segments")) return;
    const field = ["get", `risk_${state.horizon}d`];
    const colours = riskColours();
    const steps = BREAKS[state.horizon].flatMap((bound, i) => [bound, colours[i + 1]]);
    map.setPaintProperty("background", "background-color", token("--map-bg"));
    map.setPaintProperty("halo", "line-color", token("--halo"));
    map.setPaintProperty("segments", "line-color", [
      "case",
      ["==", field, null],
      token("--risk-unknown"),
      ["step", field, colours[0], ...steps],
    ]);
    map.setLayoutProperty("segments", "line-sort-key", ["coalesce", field, -1]);
    const secured = ["==", ["get", "status"], "secured"];
    map.setPaintProperty("potholes", "circle-color", ["case", secured, token("--pothole-ring"), token("--pothole")]);
    map.setPaintProperty("potholes", "circle-stroke-color", [
      "case",
      secured,
      token("--pothole"),
      token("--pothole-ring"),
    ]);
    const swatch = (name) => h("span", { class: "swatch", css: { background: `var(${name})` } });
    this.legend.replaceChildren(
      h("summary", {}, t("legend_title", { n: state.horizon })),
      h(
        "ul",
        {},
        classLabels(state.horizon)
          .map((label, i) => h("li", {}, swatch(`--risk-${i}`), label))
          .reverse(),
        h("li", {}, swatch("--risk-unknown"), t("legend_unknown")),
        h("li", { class: "gap" }, h("span", { class: "dot" }), t("legend_pothole")),
        h("li", {}, h("span", { class: "dot secured" }), t("legend_secured")),
      ),
    );
  }

  #fitControl() {
    const button = h("button", {
      type: "button",
      class: "fit",
      title: t("whole_city"),
      "aria-label": t("whole_city"),
      onclick: () => this.#fit(true),
    });
    return h("div", { class: "maplibregl-ctrl maplibregl-ctrl-group" }, button);
  }

  #fit(animate) {
    const bbox = state.city?.bbox;
    if (!bbox || !this.#map) return;
    const corners = [bbox.slice(0, 2), bbox.slice(2)];
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.#map.fitBounds(corners, { padding: 40, animate: animate && !still, maxZoom: 16 });
  }

  #showCity() {
    if (!this.#map || !state.city) return;
    if (!this.#fitted && state.city.bbox) {
      this.#fitted = true;
      this.#fit(false);
    }
    for (const marker of this.#markers) marker.remove();
    this.#markers = state.city.districts.map((district) =>
      new this.#library.Marker({ element: h("div", { class: "map-district" }, district.name) })
        .setLngLat([district.lon, district.lat])
        .addTo(this.#map),
    );
    this.#showDistricts();
  }

  #showDistricts() {
    const hidden = this.#map.getZoom() > DISTRICT_MAX_ZOOM || this.#markers.length > 60;
    for (const marker of this.#markers) marker.getElement().hidden = hidden;
  }

  /** Load the layer anew where it has changed. */
  async refresh() {
    if (!this.#map?.getSource("segments")) return;
    const { tag, body } = await getTagged("/v1/segments.geojson", {}, this.#tag);
    if (body === null) return;
    this.#tag = tag;
    this.#layer = body;
    this.#map.getSource("segments").setData(body);
    this.#flags();
  }

  #showPotholes() {
    const open = (state.worklist?.potholes ?? []).filter((p) => p.status !== "repaired");
    const features = open.map((p) => ({
      type: "Feature",
      geometry: { type: "Point", coordinates: [p.lon, p.lat] },
      properties: { segment_id: p.segment_id, severity: p.severity, status: p.status },
    }));
    this.#map?.getSource("potholes")?.setData({ type: "FeatureCollection", features });
  }

  /** The segment under a point; a few pixels of tolerance, for lines are thin and fingers are not. */
  #find(point) {
    const reach = 5;
    const box = [
      [point.x - reach, point.y - reach],
      [point.x + reach, point.y + reach],
    ];
    const found = this.#map.queryRenderedFeatures(box, { layers: ["potholes", "segments"] });
    return found[0] ?? null;
  }

  #point(event) {
    const found = event && this.#find(event.point);
    this.#map.getCanvas().style.cursor = found ? "pointer" : "";
    update({ hovered: found ? found.properties.segment_id : null });
    this.tooltip.hidden = !found;
    if (!found) return;
    const feature = this.#layer.features.find((f) => f.properties.segment_id === found.properties.segment_id);
    if (!feature) return;
    const p = feature.properties;
    const risk = p[`risk_${state.horizon}d`];
    const seen = p.newest_evidence_at
      ? t("evidence_age", { age: span(secondsSince(p.newest_evidence_at)) })
      : t("evidence_none");
    this.tooltip.replaceChildren(
      h("strong", {}, p.name),
      h("span", {}, risk === null ? t("legend_unknown") : t("tooltip_risk", { p: percent(risk), n: state.horizon })),
      h("br"),
      h("span", { class: "muted" }, [p.district, seen].join(" · ")),
    );
    const { x, y } = event.point;
    const right = x > this.clientWidth - 280;
    const down = y > this.clientHeight - 110;
    this.tooltip.style.transform =
      `translate(${x + (right ? -14 : 14)}px, ${y + (down ? -12 : 14)}px) ` +
      `translate(${right ? "-100%" : "0"}, ${down ? "-100%" : "0"})`;
  }

  #flags() {
    const map = this.#map;
    if (!map?.getSource("segments")) return;
    map.removeFeatureState({ source: "segments" });
    for (const id of JobMarkers.segments()) map.setFeatureState({ source: "segments", id }, { job: true });
    if (state.selected) map.setFeatureState({ source: "segments", id: state.selected }, { selected: true });
    if (state.hovered) map.setFeatureState({ source: "segments", id: state.hovered }, { hovered: true });
  }

  #hover() {
    this.#flags();
  }

  #showJobs() {
    this.#jobs?.show();
    this.#flags();
  }

  #select() {
    this.#flags();
    const feature = this.#layer.features.find((f) => f.properties.segment_id === state.selected);
    if (!feature || !this.#map) return;
    const middle = feature.geometry.coordinates[Math.floor(feature.geometry.coordinates.length / 2)];
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    // After the panel has taken its place.
    requestAnimationFrame(() => {
      this.#map.resize();
      const zoom = Math.max(this.#map.getZoom(), 13.5);
      const seen = this.#map.getBounds().contains(middle) && zoom === this.#map.getZoom();
      if (!seen) this.#map.easeTo({ center: middle, zoom, duration: still ? 0 : 500 });
    });
  }
}

customElements.define("road-map", RoadMap);
