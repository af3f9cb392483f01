// Draws the figures with the colours of the screen, and the item that is chosen.
(() => {
  const read = (name) => JSON.parse(document.getElementById(name).textContent);
  const figures = read('pamdi-figures');
  const items = read('pamdi-items');
  const templates = read('pamdi-templates');
  const dark = window.matchMedia('(prefers-color-scheme: dark)');
  const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ['lasso2d', 'select2d'] };

  function draw(place, figure) {
    const layout = { ...figure.layout, template: templates[dark.matches ? 'dark' : 'light'] };
    place.style.minHeight = `${layout.height}px`;
    return Plotly.react(place, figure.data, layout, config);
  }

  const source = document.getElementById('pamdi-source');
  const item = document.getElementById('pamdi-item');

  function offer(select, names) {
    select.replaceChildren(...names.map((name, place) => new Option(name, place)));
  }

  function drawItem() {
    const chosen = Object.values(items)[source.value][item.value];
    document.getElementById('pamdi-told').textContent = chosen.text;
    draw(document.getElementById('pamdi-waterfall'), chosen.figure);
  }

  function offerItems() {
    offer(item, Object.values(items)[source.value].map((one) => one.label));
    drawItem();
  }

  function drawAll() {
    document.querySelectorAll('[data-figure]').forEach((place) => {
      draw(place, figures[place.dataset.figure]);
    });
    if (source) drawItem();
  }

  if (source) {
    offer(source, Object.keys(items));
    source.addEventListener('change', offerItems);
    item.addEventListener('change', drawItem);
    offerItems();
  }
  drawAll();
  dark.addEventListener('change', drawAll);
})();
