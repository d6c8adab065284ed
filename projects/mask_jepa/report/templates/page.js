'use strict';

const readJson = card => JSON.parse(
  card.querySelector('script[type="application/json"]').textContent);

function themed(layout) {
  const style = getComputedStyle(document.documentElement);
  const colour = name => style.getPropertyValue(name).trim();
  const byFinger = matchMedia('(pointer: coarse)').matches;
  const axis = old => ({
    ...old,
    gridcolor: colour('--line'),
    linecolor: colour('--line'),
    zeroline: false,
    fixedrange: byFinger
  });
  return {
    ...layout,
    // A finger on a chart scrolls the page.
    dragmode: byFinger ? false : 'zoom',
    paper_bgcolor: 'transparent',
    plot_bgcolor: 'transparent',
    font: {color: colour('--quiet'), size: 12, family: getComputedStyle(document.body).fontFamily},
    hoverlabel: {
      bgcolor: colour('--card'),
      bordercolor: colour('--line'),
      font: {color: colour('--text'), size: 12}
    },
    xaxis: {
      ...axis(layout.xaxis),
      spikecolor: colour('--quiet'),
      spikethickness: 1
    },
    yaxis: axis(layout.yaxis)
  };
}

function drawCharts() {
  for (const chart of document.querySelectorAll('.chart')) {
    const figure = readJson(chart.parentElement);
    Plotly.react(chart, figure.data, themed(figure.layout),
                 {responsive: true, displayModeBar: false});
  }
}

function openAlbum(album) {
  const frames = readJson(album);
  const slider = album.querySelector('input');
  const image = album.querySelector('img');
  const play = album.querySelector('.play');
  let timer = null;

  function show() {
    const index = Number(slider.value);
    image.src = frames[index].url;
    album.querySelector('figcaption').textContent =
      `Iteration ${frames[index].iteration} ` +
      `(${index + 1} of ${frames.length})`;
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = 'Play';
  }

  slider.addEventListener('input', () => { stop(); show(); });
  play.addEventListener('click', () => {
    if (timer !== null) return stop();
    play.textContent = 'Pause';
    timer = setInterval(() => {
      slider.value = (Number(slider.value) + 1) % frames.length;
      show();
    }, 700);
  });
  album.querySelector('.picture').addEventListener('click', () => {
    zoom.querySelector('img').src = image.src;
    zoom.showModal();
  });
  show();
}

const zoom = document.getElementById('zoom');
zoom.addEventListener('click', () => zoom.close());
document.querySelectorAll('.album').forEach(openAlbum);
drawCharts();
matchMedia('(prefers-color-scheme: dark)')
  .addEventListener('change', drawCharts);
