// Markdown from stdin as KFP's UI renders it, with its own renderer, options and limit:
// frontend/src/components/viewers/MarkdownViewer.tsx of kubeflow/pipelines.
// node render.cjs markdown-to-jsx-7
const { createElement } = require("react");
const { renderToStaticMarkup } = require("react-dom/server");

const renderer = require(process.argv[2]);
const Markdown = renderer.default || renderer;
const LIMIT = 50 * 1000 * 8;
const content = require("fs").readFileSync(0, "utf8").substr(0, LIMIT);
console.warn = () => {};
const link = (props) => createElement("a", { href: props.href }, props.children);
const options = { overrides: { a: { component: link } }, disableParsingRawHTML: true };
process.stdout.write(renderToStaticMarkup(createElement(Markdown, { options }, content)));
