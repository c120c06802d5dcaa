/** What the page says in Korean. */

import { duration, number } from "./numbers.js";

const count = (n) => `문서 ${number(n)}개`;
const units = { line: "줄", item: "항목" };
const lines = (numbers, unit) =>
  `${numbers.slice(0, 5).map(number).join(", ")}번째 ${units[unit]}${numbers.length > 5 ? ` 외 ${number(numbers.length - 5)}개` : ""}은 뺐습니다`;
const inFile = (file, text) => (file ? `${file}: ${text}` : text);

const fact = ([name, value]) => (value ? korean[name](value) : korean[name]);

export const korean = {
  tagline: "질의에 얼마나 잘 답하는지에 따라 문서의 순위를 매깁니다.",
  runs: (facts) => facts.join(" · "),
  demo: "서비스를 시험해 보는 데모 모델입니다. 한두 문장짜리 글에서 뜻보다 낱말을 비교합니다.",
  meaning: ({ score, score_range: [low, high] }) =>
    `점수는 ${{ cosine: "문서와 질의가 얼마나 가까운지 나타내는 코사인", probability: "문서가 답이 될 확률", "calibrated probability": "판정된 쌍으로 보정한, 문서가 답이 될 확률" }[score] ?? "문서가 얼마나 잘 답하는지 나타내는 값"}입니다. ${number(low)}에서 ${number(high)} 사이이며 높을수록 좋습니다.`,
  loading: "모델을 불러오는 중…",
  locked: "무엇이 실행 중인지 보려면 키가 필요합니다.",

  examples: "예시로 시작하기:",

  key: "API 키",
  keyHint: "RERANKER_API_KEY에 있는 키 가운데 하나입니다. 이 탭에만 남고 탭을 닫으면 지워집니다.",
  query: "질의",
  documents: "문서",
  documentsHint: "한 줄에 하나, 빈 줄로 구분, 또는 JSON",
  readAs: "읽는 방법",
  textIsIn: "본문이 있는 곳",
  formats: {
    lines: "한 줄에 하나",
    paragraphs: "빈 줄로 구분",
    whole: "전체가 문서 하나",
    strings: "JSON",
    ask: "필드를 고르세요…",
    field: (name) => `“${name}”`,
  },
  total: (n, limit) =>
    limit ? `${count(n)} (한 번에 ${number(limit)}개까지 보낼 수 있습니다)` : count(n),
  tooMany: (n, limit) =>
    `${count(n)}: 한 번에 보낼 수 있는 ${number(limit)}개보다 ${number(n - limit)}개 많습니다. 문서를 줄이거나 RERANKER_MAX_DOCUMENTS를 늘리세요.`,
  notKept: "브라우저가 보관하기에는 너무 큽니다. 새로 고치거나 화면을 떠나면 지워집니다.",
  addFiles: "파일 추가",
  fileHint:
    "화면 어디에나 끌어다 놓아도 됩니다. .csv와 .tsv는 한 행이, .jsonl과 .json은 객체나 문자열 하나가, .txt와 .md는 전체가 문서 하나입니다.",
  topN: "표시할 결과 수 (top_n)",
  all: "전체",
  instruction: "지시문 (선택)",
  instructionExample: "공식 자료를 우선",
  split: "길면 구절로 나누기",
  splitHint: "모델이 읽는 길이보다 긴 문서를 자르지 않고 가장 좋은 구절로 순위를 매깁니다.",
  cut: "잘림: 모델이 읽는 길이보다 깁니다",
  rank: "순위 매기기",
  cancel: "취소",
  shortcut: "또는 어디서나 Ctrl / ⌘ + Enter, 취소는 Esc",
  results: "결과",
  copyAs: "복사:",
  saveAs: "저장:",
  copied: "복사했습니다",
  copyByHand:
    "암호화되지 않은 HTTP에서는 브라우저가 복사를 막습니다. 선택된 글을 직접 복사하세요.",
  api: "API 설명서",
  remove: "빼기",
  removeFile: (name) => `${name} 빼기`,
  fileChoice: (name) => `${name} 읽는 방법`,

  nothing:
    "아직 결과가 없습니다. 질의와 문서를 입력하거나 예시를 누르면 어느 문서가 가장 잘 답하는지 볼 수 있습니다.",

  noQuery: "질의를 입력하세요. 문서가 이 질의에 얼마나 잘 답하는지를 비교합니다.",
  noDocuments: "문서를 하나 이상 입력하거나 파일을 추가하세요.",
  noField: "어느 필드에 문서의 본문이 있는지 고르세요.",
  badTopN: "1 이상의 정수를 입력하거나, 모두 보려면 비워 두세요.",
  problems: {
    name: (file) =>
      `${file}: 추가하지 않았습니다. .txt, .md, .csv, .tsv, .json, .jsonl 파일만 읽습니다.`,
    unreadable: (file) =>
      `${file}: 추가하지 않았습니다. 읽을 수 없습니다. 폴더이거나 옮겨진 파일인지 확인하세요.`,
    encoding: (file) =>
      `${file}: 추가하지 않았습니다. UTF-8 텍스트가 아닙니다. UTF-8로 저장한 뒤 다시 추가하세요.`,
    json: (file) =>
      `${file}: 추가하지 않았습니다. 문자열이나 객체의 JSON 배열도, 그런 배열이 “documents”에 있는 객체도 아닙니다.`,
    empty: (file) => `${file}: 추가하지 않았습니다. 문서가 없습니다.`,
    value: (file, numbers, unit) =>
      inFile(file, `${lines(numbers, unit)}. JSON 문자열도 JSON 객체도 아닙니다.`),
    field: (file, numbers, unit, field) => inFile(file, `${lines(numbers, unit)}. “${field}”에 글이 없습니다.`),
    cells: (file, numbers, unit) =>
      inFile(file, `${lines(numbers, unit)}. 첫 행에 있는 이름보다 칸이 많습니다.`),
    quote: (file, numbers, unit) => inFile(file, `${lines(numbers, unit)}. 닫히지 않은 따옴표가 있습니다.`),
  },

  count,
  ranking: (n) => `${count(n)}의 순위를 매기는 중…`,
  elapsed: (seconds) => `${number(seconds)}초`,
  retryIn: (seconds) => `${number(seconds)}초 뒤에 다시 보냅니다`,
  cancelled: "취소했습니다.",
  summary: (shown, n, seconds, tokens) =>
    `${count(n)}${shown < n ? ` 중 상위 ${number(shown)}개` : ""} · ${duration(seconds)} · 토큰 ${number(tokens)}개`,
  score: "점수",
  origin: (position) => `${number(position)}번 문서`,
  up: (places) => `${number(places)}계단 위로`,
  down: (places) => `${number(places)}계단 아래로`,
  same: "제자리",
  missing: "다른 결과에 없음",
  showAll: "모두 보기",
  showLess: "줄여 보기",
  scale: ({ score, score_range: [low, high], kind }) =>
    `점수는 ${number(low)}에서 ${number(high)} 사이의 ${{ cosine: "코사인", probability: "확률", "calibrated probability": "보정된 확률" }[score] ?? "값"}입니다.` +
    (kind === "listwise" ? " 한 번의 결과 안에서만 비교하고, 다른 결과와는 비교하지 마세요." : ""),

  compareWith: "비교 대상",
  nothingElse: "없음",
  inputOrder: "입력 순서로",
  caption: (position, query) => `${number(position)}. ${query}`,
  option: (position, query, facts) => `${number(position)}. ${query} (${facts.map(fact).join(", ")})`,
  modelName: (name) => name,
  instructed: (instruction) => `지시문: ${instruction}`,
  uninstructed: "지시문 없음",
  splitting: "긴 문서 나눔",
  cutting: "긴 문서 자름",

  before: "아래는 그 전의 결과입니다.",
  failures: {
    unreachable: {
      title: "서비스가 응답하지 않습니다",
      advice:
        "서비스가 멈췄거나 연결이 끊겼습니다. 실행 중인지 확인하고 다시 보내세요. 입력한 내용은 그대로 있습니다.",
    },
    proxy: {
      title: "서비스가 아닌 다른 곳에서 응답했습니다",
      advice:
        "결과 대신 웹 페이지가 왔습니다. 서비스 앞의 프록시나 로그인 화면일 수 있습니다. 이 화면을 새로 고치고, 그래도 안 되면 프록시 담당자에게 문의하세요. 응답 내용:",
    },
    401: {
      title: "키가 필요합니다",
      advice: "이 서비스에 등록된 키를 ‘API 키’ 칸에 입력하고 다시 보내세요.",
    },
    wrongKey: {
      title: "이 서비스에 등록된 키가 아닙니다",
      advice:
        "서비스의 RERANKER_API_KEY에 있는 키와 비교해 보세요. 공백이 들어가거나 빠진 글자가 없는지 확인하고 다시 보내세요.",
    },
    403: {
      title: "접근이 거부되었습니다",
      advice:
        "서비스가 아니라 그 앞의 프록시나 방화벽이 막았습니다. 담당자에게 접근을 허용해 달라고 하세요.",
    },
    408: {
      title: "요청이 너무 느리게 도착했습니다",
      advice:
        "문서를 보내는 동안 연결이 느리거나 멈췄습니다. 문서를 줄이거나, 서비스가 알려 준 값을 늘리세요.",
    },
    413: {
      title: "한 번에 보내기에는 너무 많습니다",
      advice: "문서를 줄이거나, 서비스가 알려 준 한도를 늘리세요.",
    },
    422: {
      title: "서비스가 요청을 거절했습니다",
      advice: "서비스가 알려 준 부분을 고치고 다시 보내세요.",
    },
    429: {
      title: "대기열이 가득 찼습니다",
      advice:
        "서비스는 실행 중이지만 기다리는 요청이 너무 많습니다. 잠시 뒤에 저절로 다시 보냅니다. 그만두려면 취소를 누르세요.",
    },
    503: {
      title: "모델이 준비되지 않았습니다",
      advice:
        "모델을 불러오는 중이거나 막 다시 시작했습니다. 서비스가 때를 알려 주면 저절로 다시 보냅니다. 그만두려면 취소를 누르세요.",
    },
    504: {
      title: "시간이 너무 오래 걸렸습니다",
      advice: "문서를 줄이거나 짧게 하고, 또는 제한 시간을 늘리세요.",
    },
    other: {
      title: "서비스에 오류가 났습니다",
      advice: "다시 보내 보세요. 그래도 안 되면 서비스의 로그를 확인하세요.",
    },
  },
};
