# The tags name versions. For images that nobody can exchange, pin them by digest
# too: renovate.json has Renovate do so, and bring new versions, in merge requests.
FROM --platform=$BUILDPLATFORM golang:1.26.8-alpine AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev TARGETOS=linux TARGETARCH=amd64
# Not with -buildmode=pie: without cgo such a binary still wants a dynamic linker,
# and the image below has none.
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -buildvcs=false -tags nomsgpack \
    -ldflags "-s -w -X main.version=$VERSION" -o /out/relay ./cmd/relay \
 && mkdir /out/data

# Root certificates, time zones, /tmp and the user 65532; no shell.
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/relay /relay
COPY LICENSE cmd/relay/licenses.txt /licenses/
# A named volume takes its owner from what is here when it is first used.
COPY --from=build --chown=65532:65532 --chmod=0700 /out/data /data
USER 65532:65532
ENV RELAY_LISTEN=0.0.0.0:8080 RELAY_DATA=/data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["/relay", "healthcheck", "--live"]
ENTRYPOINT ["/relay"]
CMD ["serve"]
